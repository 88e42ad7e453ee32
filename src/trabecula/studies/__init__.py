"""What is kept of every scan that was handed in: its files, its versions, and the queue that screens it."""
