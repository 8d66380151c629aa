"""The page on which somebody says that they got a message which was not for them."""
