"""AWS calls and HTTP requests at a fraction of boto3's processor time, one attempt each."""
