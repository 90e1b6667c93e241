"""The files of answers: chunks of images and tables, resuming, recovery copies."""
