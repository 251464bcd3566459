"""One module per command. Each imports what it needs of the library when it runs, so that ``--help`` stays quick."""
