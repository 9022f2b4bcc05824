"""Names of keras.layers that are refused: the reason, and what to use instead."""

ABSENT_GROUPS = (
    ("Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Convolution1D Convolution1DTranspose "
     "Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose DepthwiseConv1D DepthwiseConv2D "
     "SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D",
     "there are no convolutions outside of cells", "layers.ConvLSTM1D to 3D; windows by ops.take, and layers.Dense"),
    ("AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D MaxPool1D MaxPool2D MaxPool3D "
     "MaxPooling1D MaxPooling2D MaxPooling3D AdaptiveAveragePooling1D AdaptiveAveragePooling2D "
     "AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D "
     "GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool2D GlobalMaxPool3D "
     "GlobalMaxPooling2D GlobalMaxPooling3D", "there is pooling over the whole of time alone",
     "layers.GlobalAveragePooling1D and GlobalMaxPooling1D; layers.Lambda of ops.reshape, and ops.mean or ops.max"),
    ("Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D "
     "ZeroPadding3D", "it is one operation", "layers.Lambda of x[:, a:b], ops.repeat or ops.pad"),
    ("SpatialDropout2D SpatialDropout3D AlphaDropout", "there is dropout of numbers and of features",
     "layers.Dropout(rate, noise_shape=...)"),
    ("MultiHeadAttention GroupQueryAttention", "attention has one head",
     "layers.Attention; a layer of your own with ops.dot_product_attention"),
    ("GroupNormalization SpectralNormalization", "it normalizes images or weights",
     "layers.BatchNormalization, LayerNormalization, RMSNormalization"),
    ("EinsumDense ReversibleEmbedding", "it has weights of any shape", "a layer of your own with ops.einsum"),
    ("AugMix AutoContrast CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization "
     "MaxNumBoundingBoxes MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast "
     "RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue "
     "RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear "
     "RandomTranslation RandomZoom Resizing Solarization", "nothing is done to images", "arrays that are ready"),
    ("CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup MelSpectrogram Normalization Pipeline "
     "Rescaling STFTSpectrogram StringLookup TextVectorization", "there is no preprocessing",
     "NumPy, before the arrays go into a model"),
    ("FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper", "there are no other back ends",
     "rnnref.interop reads weights of other frameworks"),
    ("InputSpec", "a layer checks its inputs when it is called", "raise in build or call"),
    ("serialize deserialize", "a layer writes and reads itself", "layer.get_config() and Class.from_config(config)"),
)
