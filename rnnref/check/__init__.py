"""The checker: is this engine right, and if not, what is wrong with it?  (floor 10)"""
