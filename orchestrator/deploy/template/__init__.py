"""The desired state as a CloudFormation template, for those who deploy that way. Pure.

entry        one wanted thing with its logical id; refs are intrinsic functions by now
fronts       load balancers, their listeners, rules and target groups
machines     launch templates, Auto Scaling groups, the balancer's instance and its address
surroundings log group, security groups, roles, instance profiles
watching     topic, alarms, dashboard, budget
document     all of them, parameters and outputs; as YAML or JSON
"""
