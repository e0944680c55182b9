"""How right estimates, exports and trainings are."""
