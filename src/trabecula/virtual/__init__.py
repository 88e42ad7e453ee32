"""Virtual patients with exact truth. Nothing here knows the flow that is judged on them."""
