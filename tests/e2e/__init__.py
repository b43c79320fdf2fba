"""The whole balancer as processes, between real clients and real targets."""
