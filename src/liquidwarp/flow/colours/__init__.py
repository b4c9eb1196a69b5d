"""Which colours are one cloth's, which are skin, and in which light: rules that the other folders share."""
