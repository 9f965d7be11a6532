"""The three ads: each module builds scenes and lists its pictures."""
