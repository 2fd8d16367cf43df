"""`make mutants`: which small changes of `si/layout` and `si/script` no test notices.

`change` makes the changes, `trial` tries each on the tests that run its lines, `reasons` reads why
some may stay unnoticed, and `__main__` adds up.
"""
