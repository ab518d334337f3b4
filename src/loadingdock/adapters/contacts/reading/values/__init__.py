"""Text to values: one way of reading each type, in two speeds that agree.

`parse` is the rule, one value at a time. `fast` does a column at once for the values that it is sure of, and says which
it is not sure of; those go through `parse`.
"""
