"""Import: of files, of other servers, and of an example organization."""
