"""What has had its time goes, by one scheduled worker."""
