"""Rich menus as files: definition, check, picture, sync with LINE."""
