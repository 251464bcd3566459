"""One module a command. What a command needs of the library it imports when it runs, so that ``--help`` stays quick."""
