"""Files -> documents -> passages: which files, how they become text, where the text is cut."""
