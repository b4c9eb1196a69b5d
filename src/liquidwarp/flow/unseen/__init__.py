"""Colours for what no photo shows: cloth goes on around the body, hair around the head."""
