"""The row cache: rows of the changelogs on this machine's disk, so that control keeps few of them in memory."""
