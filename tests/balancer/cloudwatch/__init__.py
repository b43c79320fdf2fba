"""CloudWatch both ways: arithmetic, patience, the API as moto answers it, the loops."""
