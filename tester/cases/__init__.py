"""Plays recorded conversations in the languages of other lock servers to a daemon that is started as they need it.

The modules here know no language: what a case file is (files), its placeholders and matchers (values), the daemon
(daemon) and its certificates, and how cases are dealt out and counted (playing). A language is a folder that
offers what `language.Language` says, and a line in its table.
"""
