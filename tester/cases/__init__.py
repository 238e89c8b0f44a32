"""Plays recorded conversations in the languages of other lock servers.

The modules here know no language: what a case file is (files), its placeholders and matchers (values), the daemon
(daemon) and its certificates, and how cases are dealt out and counted: to daemons that are started for them (playing),
or to a server that runs already (running). A language is a folder that offers what `language.Language` says, and a line
in its table.
"""
