"""What belongs to many runs together: callbacks for the files in `conf/sweep`."""
