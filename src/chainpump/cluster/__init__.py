"""Stages on other machines: each machine runs its part of the pipeline as a small chainpump of its own.

* `agent`: the part of a run on one machine
* `agent_control`: the control link and the standard input of an agent
* `agent_main`: the program of an agent
* `agent_run`: what an agent does in a run
* `agent_slots`: the workers of one agent, each answered for on a control pipe of the main process
* `arrivals`: passes the frames that arrive at a host to the workers there
* `backlog`: frames that wait to leave a host, or may have to leave it again
* `commands`: the launcher by commands: one for each machine, which starts the agent there
* `departures`: takes the frames that leave a host from the workers there
* `elsewhere_executor`: what all executors for other machines have
* `ferry`: carries the frames that cross hosts
* `hosts`: the executor for machines that a command reaches
* `launched_program`: programs that belong to a run, and end with it
* `launcher`: what decides where the agents of a run are, and starts them
* `links`: TCP links between hosts: sockets and threads
* `listener`: accepts the links of other hosts
* `mailbox`: messages of other threads for a thread that waits for descriptors
* `members`: which machines belong to a run, and who follows a lost one
* `messages`: what agents and the switchboard tell each other
* `pairings`: pairs the frames of all junctions that cross machines
* `placed_workers`: where the workers of a run are, and who follows a lost machine
* `ray_actor`: the actor that runs an agent on a machine of a Ray cluster
* `ray_connection`: the connection of this process to a Ray cluster
* `ray_executor`: the executor for a Ray cluster
* `ray_launcher`: the launcher on a Ray cluster
* `remote_part`: the part of a run on other machines, as the main process sees it
* `route`: a junction whose frames cross hosts, as the ferry of one host sees it
* `split_channel`: the part of a junction that is on one machine
* `started_program`: starts a program that ends with its standard input
* `switchboard`: a process beside the main process that connects it with all agents
* `switchboard_main`: the program of the switchboard
* `switchboard_parts`: what the switchboard gets at its start, its writer of logs, and what its threads tell it
"""
