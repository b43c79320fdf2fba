"""The one door to AWS: nothing else in the orchestrator imports boto3.

errors   a refusal as place, cause and suggestion
door     sessions, retries, paging; every call passes one place that tests and journals watch
wait     until a condition holds, with a deadline and progress
"""
