"""`python -m graftwork` is the command line."""

from graftwork.cli import main

if __name__ == "__main__":
    main()
