"""The line: read, localise, segment, measure, diagnose, report. One file a stage; no stage knows another."""
