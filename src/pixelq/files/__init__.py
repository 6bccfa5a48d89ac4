"""Files that are whole or not there, and what a person may name as one."""
