# Runs commands for vmsuite and sends what came of them, over a terminal that it shares
# with the kernel. What it sends stands in frames "@TOKEN:word ..."; each command has
# its own TOKEN, read from the terminal, so no program's output can hold it.
umask 077
r=${0%/*}/$$
mkdir "$r" || exit 1
s=$(command -v setsid)
t=$1
stty -echo 2>/dev/null
echo
echo "@$t:hello"

# Keeps the first bytes of its input in a file and lets the rest go.
keep() {
	head -c "$n" >"$r/$1"
	exec cat >/dev/null
}

sum() {
	x=$(md5sum <"$r/$1")
	x=${x%% *}
	z=$(wc -c <"$r/$1")
}

work() {
	{ { $s sh -c 'echo $$ >"$1/pid"; eval "$2"' sh "$r" "$c" <"$i" 3>&-
	echo $? >"$r/code"; } 2>&3 | keep out 3>&-; } 3>&1 | keep err
	read -r e <"$r/code"
	d=$e
	for f in out err; do
		x=- z=0
		[ -s "$r/$f" ] && sum $f
		d="$d $x $z"
	done
	echo "$d" >"$r/done"
	report
}

report() {
	read -r e om on em en <"$r/done"
	echo
	echo "@$t:done $e $om $on $em $en"
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
	x=$(dd if="$r/$1" bs="$2" skip="$3" count=1 2>/dev/null | md5sum)
	echo "@$t:end $1 $2 $3 ${x%% *}."
}

while read -r w a b c; do
	case $w in
	new)
		t=$a i=/dev/null
		: >"$r/out" >"$r/err" >"$r/done" >"$r/pid"
		[ -e "$r/in" ] && rm "$r/in"
		[ -e "$r/cmd" ] && rm "$r/cmd"
		echo "@$t:here"
		;;
	put)
		head -c "$b" | base64 -d >>"$r/$a"
		echo "@$t:got $a $c"
		[ "$a" = in ] && i=$r/in
		;;
	sum)
		sum "$a"
		echo "@$t:sum $a $x $z"
		;;
	run)
		n=$a
		read -r c
		if [ "${#c}" = "$b" ]; then work & else echo "@$t:bad"; fi
		;;
	ask) if [ -s "$r/done" ]; then report; else echo "@$t:busy"; fi ;;
	piece) piece "$a" "$b" "$c" ;;
	kill)
		read -r p <"$r/pid"
		[ -n "$p" ] && { kill -9 "-$p" || kill -9 "$p"; } 2>/dev/null
		echo "@$t:killed"
		;;
	bye) break ;;
	esac
done
rm -rf "$r"
stty echo 2>/dev/null
echo "@$t:left"
