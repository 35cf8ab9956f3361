"""`python -m graftwork` is the command line."""

from graftwork.cli.app import main

if __name__ == "__main__":
    main()
