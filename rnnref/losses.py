"""Losses with Keras's names: not there yet."""
from .absent import Absent

__getattr__ = Absent("losses", (
    "BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy CategoricalFocalCrossentropy "
    "CategoricalGeneralizedCrossEntropy CategoricalHinge Circle CosineSimilarity Dice Hinge Huber KLDivergence LogCosh "
    "Loss MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson "
    "SparseCategoricalCrossentropy SquaredHinge Tversky binary_crossentropy binary_focal_crossentropy "
    "categorical_crossentropy categorical_focal_crossentropy categorical_generalized_cross_entropy categorical_hinge "
    "circle cosine_similarity ctc deserialize dice get hinge huber kl_divergence log_cosh mean_absolute_error "
    "mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error poisson serialize "
    "sparse_categorical_crossentropy squared_hinge tversky",
    "not there yet: it comes with training",
    "an expression of rnnref.ops in a Record: ops.mean((y - target) ** 2), ops.categorical_crossentropy(target, y)"))
