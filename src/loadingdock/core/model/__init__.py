"""The nouns, and the transitions their states may take: a module a subject.

Times are aware UTC `datetime`s, sizes are bytes, digests are lower-case hex unless a name says otherwise.
"""
