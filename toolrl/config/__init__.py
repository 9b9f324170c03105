"""Every setting of toolrl, documented where it is declared, and the loader that reads them."""
