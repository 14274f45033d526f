"""Pure knowledge of media: containers, tracks, ladders, playlists."""
