"""The steps, in the order that their ``down_revision`` says. A step that has been released is never changed."""
