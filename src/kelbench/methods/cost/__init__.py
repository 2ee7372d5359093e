"""What a run of a text method costs, worked out from its settings before it is started; imports no torch.

`shapes`: parameters, floating-point operations and memory of an encoder. `estimate`: those of a run. `table`: in words.
"""
