"""What is agreed before anything is trained."""
