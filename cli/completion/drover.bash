# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Completion of drover for bash: drover itself knows what may follow.

_drover()
{
	local line=${COMP_LINE:0:COMP_POINT} cur prefix="" candidate words=()

	read -ra words <<< "$line"
	[[ $line != *[[:space:]] ]] || words+=("")
	cur=${words[-1]}
	# Readline replaces what stands behind the last character that breaks words.
	[[ $COMP_WORDBREAKS != *=* || $cur != *=* ]] || prefix=${cur%"${cur##*=}"}
	[[ $COMP_WORDBREAKS != *:* || ${cur#"$prefix"} != *:* ]] || prefix=${cur%"${cur##*:}"}
	COMPREPLY=()
	while IFS=$'\t' read -r candidate _; do
		printf -v candidate %q "${candidate#"$prefix"}"
		COMPREPLY+=("$candidate")
	done < <("$1" complete -- "${words[@]:1}" 2> /dev/null)
	[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *[=.] ]] || compopt -o nospace
}

complete -o default -F _drover drover
