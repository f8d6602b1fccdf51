"""To be imported last before a fork: what is there stays where it is, and the pages stay shared."""

import gc

gc.collect()
gc.freeze()
