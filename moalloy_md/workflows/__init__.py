"""One function a job, made of the other parts."""
