# Runs one command for vmsuite and sends what came of it, over a terminal that it
# shares with the kernel. What it sends stands in frames "@TOKEN:word ..."; TOKEN is
# read from the terminal, so no program's output can hold it.
umask 077
r=${0%/*}/$$
mkdir "$r" || exit 1
stty -echo 2>/dev/null
echo
echo "@$1:hello"
read -r t || exit 1
i=/dev/null

keep() {
	head -c "$n" >"$r/$1"
	cat >/dev/null
}

work() {
	{ { $s sh "$r/cmd" "$r" <"$i" 3>&-
	echo $? >"$r/code"; } 2>&3 | keep out 3>&-; } 3>&1 | keep err
	echo "$(cat "$r/code") $(cksum <"$r/out") $(cksum <"$r/err")" >"$r/done.new"
	mv "$r/done.new" "$r/done"
	report
}

report() {
	read -r x oc on ec en <"$r/done"
	echo
	echo "@$t:done $x $oc $on $ec $en"
	[ "$on" -gt 0 ] && [ "$on" -le 4096 ] && whole out
	[ "$en" -gt 0 ] && [ "$en" -le 4096 ] && whole err
	echo "@$t:told"
}

whole() {
	echo "@$t:whole $1"
	base64 <"$r/$1"
	echo "@$t:end $1"
}

piece() {
	echo
	echo "@$t:piece $1 $2 $3"
	dd if="$r/$1" bs="$2" skip="$3" count=1 2>/dev/null | base64
	echo "@$t:end $1 $2 $3 $(dd if="$r/$1" bs="$2" skip="$3" count=1 2>/dev/null | cksum)"
}

while read -r w a b c; do
	case $w in
	put)
		head -c "$b" | base64 -d >>"$r/$a"
		echo "@$t:got $a $(cksum <"$r/$a")"
		;;
	run)
		n=$a
		[ -f "$r/in" ] && i=$r/in
		s=$(command -v setsid)
		if [ "$(cksum <"$r/cmd")" = "$b $c" ]; then
			work &
		else
			echo "@$t:bad"
		fi
		;;
	ask) if [ -f "$r/done" ]; then report; else echo "@$t:busy"; fi ;;
	piece) piece "$a" "$b" "$c" ;;
	kill)
		p=$(cat "$r/pid" 2>/dev/null)
		[ -n "$p" ] && { kill -9 -- "-$p" || kill -9 "$p"; } 2>/dev/null
		echo "@$t:killed"
		;;
	bye) break ;;
	esac
done
rm -rf "$r"
stty echo 2>/dev/null
echo "@$t:left"
