# Prints the rules with one alert spoiled: its expression never or always holds, or its `for` is
# taken away or a minute longer (added where there is none).
/^ *- alert: / { on = ($3 == alert); spoiled = 0 }
on && /^        expr:/ && (how == "never" || how == "always") {
    print "        expr: vector(" (how == "always") ") > 0"
    swallow = 1
    next
}
swallow && /^          / { next }
{ swallow = 0 }
on && /^        for:/ && how == "sooner" { next }
on && /^        for:/ && how == "later" { sub(/[0-9]+/, $2 + 1); if ($2 ~ /h/) sub(/for: .*/, "for: 5h"); spoiled = 1 }
on && /^        labels:/ && how == "later" && !spoiled { print "        for: 1m"; spoiled = 1 }
{ print }
