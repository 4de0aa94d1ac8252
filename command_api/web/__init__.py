"""What every HTTP answer of the command API has in common; nothing here knows what a post is."""
