// Checks a history of registers with Porcupine and prints the seconds that the check took, and its result.
//
// Usage: porcupine HISTORY.csv TIMEOUT_SECONDS; a line is key,kind(0 read, 1 write),value,call,return.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

type input struct {
	key   int
	write bool
	value int
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	timeout, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	partitions := map[int][]porcupine.Operation{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ",")
		number := make([]int, len(fields))
		for at, field := range fields {
			if number[at], err = strconv.Atoi(field); err != nil {
				panic(err)
			}
		}
		in := input{key: number[0], write: number[1] == 1, value: number[2]}
		partitions[in.key] = append(partitions[in.key], porcupine.Operation{
			Input: in, Output: number[2], Call: int64(number[3]), Return: int64(number[4]),
		})
	}
	all := [][]porcupine.Operation{}
	for _, partition := range partitions {
		all = append(all, partition)
	}
	model := porcupine.Model{
		Partition: func([]porcupine.Operation) [][]porcupine.Operation { return all },
		Init:      func() interface{} { return -1 },
		Step: func(state, in, out interface{}) (bool, interface{}) {
			if in.(input).write {
				return true, in.(input).value
			}
			return out.(int) == state.(int), state
		},
	}
	began := time.Now()
	result := porcupine.CheckOperationsTimeout(model, []porcupine.Operation{}, time.Duration(timeout)*time.Second)
	fmt.Printf("%f %s\n", time.Since(began).Seconds(), result)
}
