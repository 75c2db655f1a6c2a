// Asks what each line of standard input says with @supabase/postgrest-js, and writes what it got as a line.
//
// A line is {"calls": [["schema", "library"], ["from", "books"], ["select", "*"], ["eq", "id", 1]]}: calls of methods,
// the first of a client. The answer is the client's own, or {"thrown": …} where it throws.
import { createInterface } from 'node:readline'
import { PostgrestClient } from '@supabase/postgrest-js'

const [url, key] = process.argv.slice(2)

async function answer({ calls }) {
  let chain = new PostgrestClient(url, { headers: { Authorization: `Bearer ${key}` }, schema: 'library' })
  for (const [method, ...given] of calls) chain = chain[method](...given)
  return await chain
}

for await (const line of createInterface({ input: process.stdin })) {
  const got = await answer(JSON.parse(line)).catch((thrown) => ({ thrown: { ...thrown, message: thrown.message } }))
  process.stdout.write(JSON.stringify(got) + '\n')
}
