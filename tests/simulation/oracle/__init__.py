"""A broker written from broker and FIX documentation alone. It imports nothing of the product."""
