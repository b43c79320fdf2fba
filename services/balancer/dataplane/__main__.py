"""`python -m services.balancer.dataplane`: started by the supervisor, never by hand."""

from services.balancer.dataplane.process import main

if __name__ == "__main__":
    main()
