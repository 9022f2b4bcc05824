"""What TF 1.15 has for recurrent networks and this package has not: names, why, and what to use instead."""

ABSENT_GROUPS = (
    ("AttentionMechanism BahdanauAttention LuongAttention BahdanauMonotonicAttention LuongMonotonicAttention "
     "AttentionWrapper AttentionWrapperState hardmax safe_cumprod monotonic_attention",
     "attention over a memory that is given, of tf.contrib.seq2seq, is not among the cells",
     "AttentionCellWrapper, for attention over the last outputs; over a memory an RNNCell of one's own: its step is "
     "recorded, so that matmul and ops.softmax in its call are trained"),
    ("Decoder BasicDecoder BasicDecoderOutput dynamic_decode BeamSearchDecoder BeamSearchDecoderOutput "
     "BeamSearchDecoderState FinalBeamSearchDecoderOutput gather_tree gather_tree_from_array tile_batch Helper "
     "TrainingHelper GreedyEmbeddingHelper SampleEmbeddingHelper InferenceHelper CustomHelper "
     "ScheduledEmbeddingTrainingHelper ScheduledOutputTrainingHelper",
     "decoders of tf.contrib.seq2seq are not loops of rnnref", "raw_rnn, whose loop_fn makes each input from the last "
     "output"),
    ("sequence_loss SequenceLoss", "losses are those of Keras", "rnnref.losses, with sample_weight as the mask"),
    ("CudnnLSTMSaveable CudnnGRUSaveable CudnnRNNTanhSaveable CudnnRNNReluSaveable",
     "there is no saver of a graph", "load_variables and dump_variables of the layer, or a CudnnParamsFormatConverter"),
)
