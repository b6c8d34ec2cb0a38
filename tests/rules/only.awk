# Prints a file of tests with one alert's alone: the name of a test begins with its alert.
/^  - name: / { others = index($0, "  - name: \"" alert ":") != 1 }
!others { print }
