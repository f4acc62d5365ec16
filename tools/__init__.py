"""Programs that write the descriptions of the API and the screenshots."""
