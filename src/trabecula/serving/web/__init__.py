"""The web page: uploads queue for one worker process; results are seen, corrected, kept. No medical logic."""
